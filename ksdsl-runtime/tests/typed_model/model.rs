//! The model under test, as the code generator writes them.

use ksdsl_runtime::generated::{self as rt, *};

rt::model! {
    /// Kernels that more than one layer uses.
    pub(crate) struct Shared<E, D> {
        /// Visits: `s1.0.conv`, `s1.1.conv`, `head.conv`.
        #[tensor("conv_weight", normal(0.2))]
        pub(crate) conv_weight: Tensor<Rank4<8, 8, 3, 3>, E, D>,
    }
}

/// The shared kernels of one pass.
pub(crate) struct Visits<E: Scalar, D: Backend<E>> {
    pub(crate) conv_weight: Bank<Bound<Rank4<8, 8, 3, 3>, E, D>>,
}

rt::model! {
    pub(crate) struct Stem<E, D> {
        #[tensor("conv.weight", uniform(0.3))]
        pub(crate) conv_weight: Tensor<Rank4<8, 3, 3, 3>, E, D>,
        #[tensor("conv.bias", constant(0.125))]
        pub(crate) conv_bias: Tensor<Rank1<8>, E, D>,
    }
}

rt::model! {
    pub(crate) struct Basic<E, D> {
        #[module("bn")]
        pub(crate) bn: BatchNorm<8, E, D>,
        #[tensor("se.reduce.weight", uniform(0.35))]
        pub(crate) reduce_weight: Tensor<Rank2<2, 8>, E, D>,
        #[tensor("se.expand.weight", uniform(0.7))]
        pub(crate) expand_weight: Tensor<Rank2<8, 2>, E, D>,
    }
}

rt::model! {
    pub(crate) struct Model<E, D> {
        #[module("shared")]
        pub(crate) shared: Shared<E, D>,
        #[module("stem")]
        pub(crate) stem: Stem<E, D>,
        #[repeat("s1.", 0)]
        pub(crate) s1: Repeat<Basic<E, D>, 2>,
        #[tensor("head.linear.weight", uniform(0.35))]
        pub(crate) linear_weight: Tensor<Rank2<5, 8>, E, D>,
        #[tensor("head.linear.bias", uniform(0.35))]
        pub(crate) linear_bias: Tensor<Rank1<5>, E, D>,
    }
}

/// 3x3 8->8, 3x3 3->8 with bias, two blocks (batch norm and two linears), linear with bias.
pub(crate) const PARAMETERS: usize = 9 * 8 * 8 + (9 * 3 * 8 + 8) + 2 * (2 * 8 + 2 * 8 * 2) + (8 * 5 + 5);

impl<E: Scalar, D: Backend<E>> Shared<E, D> {
    pub(crate) fn bind<T: Tape<E, D>>(&self, context: &mut Context<E, D, T>) -> Result<Visits<E, D>, D::Err> {
        let conv_weight = Bound::new(&self.conv_weight, context)?;
        Ok(Visits {
            conv_weight: Bank::new(vec![conv_weight], &[(0, 3)]),
        })
    }
}

impl<E: Scalar, D: Backend<E>> Basic<E, D> {
    pub(crate) fn forward<B: Dim, T: Tape<E, D>>(
        &self,
        pass: &mut Pass<E, D>,
        shared: &mut Visits<E, D>,
        x: Map<B, 8, 8, 8, E, D, T>,
    ) -> Result<Map<B, 8, 8, 8, E, D, T>, D::Err> {
        let (x, skip) = x.fork()?;
        let x: Map<B, 8, 8, 8, E, D, T> =
            op::Conv::<Stride<1, 1>, Pad<1, 1, 1, 1>, Dilation<1, 1>, 1>::apply(x, shared.conv_weight.visit(), NoBias)?;
        let x = self.bn.apply(pass, x, 1e-5, 0.1)?;
        let (x, squeeze) = x.fork()?;
        let g = op::global_avg_pool(squeeze)?;
        let g: Flat<B, 2, E, D, T> = op::linear(g, &self.reduce_weight, NoBias)?;
        let g = op::relu(g)?;
        let g: Flat<B, 8, E, D, T> = op::linear(g, &self.expand_weight, NoBias)?;
        let g = op::sigmoid(g)?;
        let x = op::gate(x, g)?;
        let x = op::add(x, skip)?;
        op::relu(x)
    }
}

pub(crate) type Input<B, E, D, T> = Tensor<(B, Const<3>, Const<8>, Const<8>), E, D, T>;
pub(crate) type Logits<B, E, D, T> = Tensor<(B, Const<5>), E, D, T>;

impl<E: Scalar, D: Backend<E>> Model<E, D> {
    pub(crate) fn run<B: Dim, T: Tape<E, D>>(
        &self,
        pass: &mut Pass<E, D>,
        x: Input<B, E, D, T>,
    ) -> Result<Logits<B, E, D, T>, D::Err> {
        let mut x = Map::<B, 3, 8, 8, E, D, T>::read(x)?;
        let shared = self.shared.bind(x.context_mut())?;
        self.run_with(pass, shared, x)
    }

    pub(crate) fn run_with<B: Dim, T: Tape<E, D>>(
        &self,
        pass: &mut Pass<E, D>,
        mut shared: Visits<E, D>,
        x: Map<B, 3, 8, 8, E, D, T>,
    ) -> Result<Logits<B, E, D, T>, D::Err> {
        let stem = &self.stem;
        let mut x: Map<B, 8, 8, 8, E, D, T> =
            op::Conv::<Stride<1, 1>, Pad<1, 1, 1, 1>, Dilation<1, 1>, 1>::apply(x, &stem.conv_weight, &stem.conv_bias)?;
        for block in self.s1.iter() {
            x = block.forward(pass, &mut shared, x)?;
        }
        let x: Map<B, 8, 4, 4, E, D, T> =
            op::Conv::<Stride<2, 2>, Pad<1, 1, 1, 1>, Dilation<1, 1>, 1>::apply(x, shared.conv_weight.visit(), NoBias)?;
        let x = op::dropout(pass, x, 0.25)?;
        let x: Flat<B, 8, E, D, T> = op::global_avg_pool(x)?;
        let x: Flat<B, 5, E, D, T> = op::linear(x, &self.linear_weight, &self.linear_bias)?;
        x.into_tensor()
    }
}

impl<E: Scalar, D: Backend<E>> BuildOnDevice<D, E> for Model<E, D> {
    type Built = Model<E, D>;
}

impl<B: Dim, E: Scalar, D: Backend<E>> Module<Input<B, E, D, NoneTape>> for Model<E, D> {
    type Output = Logits<B, E, D, NoneTape>;
    type Error = D::Err;

    fn try_forward(&self, x: Input<B, E, D, NoneTape>) -> Result<Self::Output, D::Err> {
        let mut pass = Pass::inference(x.device());
        self.run(&mut pass, x)
    }
}

impl<B: Dim, E: Scalar, D: Backend<E>> ModuleMut<Input<B, E, D, OwnedTape<E, D>>> for Model<E, D> {
    type Output = Logits<B, E, D, OwnedTape<E, D>>;
    type Error = D::Err;

    fn try_forward_mut(&mut self, x: Input<B, E, D, OwnedTape<E, D>>) -> Result<Self::Output, D::Err> {
        let mut pass = Pass::training(x.device());
        let y = self.run(&mut pass, x)?;
        pass.update_running_statistics(self)?;
        Ok(y)
    }
}
